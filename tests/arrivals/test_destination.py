from __future__ import annotations

import pytest

from cxreport.arrivals.destination import ApplicationEntity, WebService, ae_title, destination
from cxreport.errors import UsageError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("PACS@10.0.0.1:104", ApplicationEntity("PACS", "10.0.0.1", 104)),
        ("MAIN PACS@pacs.example:11112", ApplicationEntity("MAIN PACS", "pacs.example", 11112)),
        ("PACS@[::1]:104", ApplicationEntity("PACS", "::1", 104)),
        ("https://pacs.example/dicom-web/", WebService("https://pacs.example/dicom-web")),
        ("http://localhost:8042/dicom-web", WebService("http://localhost:8042/dicom-web")),
    ],
)
def test_destinations(text: str, meant: object) -> None:
    assert destination(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        *(
            "PACS",
            "PACS@host",
            "@host:104",
            "PACS@host:0",
            "PACS@host:65536",
            "SEVENTEENLETTERSX@host:104",
            r"A\B@host:1",
        ),
        *("ftp://host/x", "https:///dicom-web", "https://host/x?y=z", "https://host:99999/", "PACS@a b:104"),
    ],
)
def test_what_names_no_destination_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        destination(text)
    assert "AET@HOST:PORT" in refused.value.hint or "AE title" in refused.value.hint


def test_a_password_in_a_url_is_refused_and_not_quoted() -> None:
    with pytest.raises(UsageError) as refused:
        destination("https://user:hunter2@host/dicom-web")
    assert "hunter2" not in refused.value.message + refused.value.hint
    assert "CXREPORT_AUTHORIZATION" in refused.value.hint


@pytest.mark.parametrize("text", ["", "   ", "A" * 17, "A\\B", "A\nB", "Ä"])
def test_ae_titles_that_dicom_does_not_have(text: str) -> None:
    with pytest.raises(UsageError, match="no AE title"):
        ae_title(text)
