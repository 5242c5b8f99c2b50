"""Area under the ROC curve."""

import numpy as np

from cxreport.train.fit.auc import auc, auc_per_tag


def test_auc_is_the_rank_statistic():
    labels = np.array([0, 0, 1, 1], np.float32)
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), labels) == 0.75
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), labels) == 0.5
    table = auc_per_tag(np.array([[0.1, 0], [0.9, 0]]), np.array([[0, 0], [1, 0]]), ("a", "b"), least=1)
    assert table == {"a": 1.0, "mean": 1.0}
