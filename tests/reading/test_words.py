from __future__ import annotations

import pytest

from cxreport.reading.words import position_from_words, words_of
from cxreport.types import Position


@pytest.mark.parametrize(
    "text",
    [
        *("bilateral pneumonia", "unilateral", "collateral_01", "ipsilateral", "contralateral", "Laterality", "latest"),
        *("bi-lateral", "Ribs BI-LAT", "bi lateral", "BiLateral", "uni-lateral", "contra-lateral", "ipsi_lateral"),
        *("LATVIA", "Plateral", "Bilatérale Pneumonie", "profile", "Seite 3", "dose-profile.png", ""),
        *("thorax frontal et profil", "tórax frente y perfil", "face/profil", "chest frontal + lateral"),
        *("PA and lateral", "AP/LAT", "Thorax 2 Ebenen pa + seitlich", "left lateral decubitus", "decúbito lateral"),
        *("ThoraxBilateral", "L. lobe", "space", "Papa", "apical", "map"),
    ],
)
def test_words_that_state_no_projection(text: str) -> None:
    assert position_from_words(words_of(text)) is Position.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        *(
            "lateral",
            "CHEST LAT",
            "view2_lateral",
            "ChestLateral",
            "thoraxLat2",
            "lat1",
            "L-LAT",
            "LLAT",
            "RL",
            "Thorax L.lat",
        ),
        *("thorax de profil", "Thorax latérale", "Clichés latéraux", "profils"),  # French
        *(
            "Thorax seitlich",
            "seitliche Aufnahme",
            "Seitenaufnahme",
            "lateraler Strahlengang",
            "Thorax seitl.",
        ),  # German
        *("tórax lateral", "TÓRAX DE PERFIL", "laterales"),  # Spanish
        *("tórax perfil", "RX TÓRAX LATERAIS"),  # Portuguese
        *(
            "torace laterale",
            "proiezione latero-laterale",
            "torace L-L",
            "torace di profilo",
            "LATEROLATERALE",
        ),  # Italian
        *("thorax dwars", "zijdelings", "zijdelingse opname", "thorax lateraal", "profiel"),  # Dutch
        *("klatka piersiowa boczne", "zdjęcie boczna", "projekcja z boku", "Boczny"),  # Polish
    ],
)
def test_lateral_in_eight_languages(text: str) -> None:
    assert position_from_words(words_of(text)) is Position.LATERAL


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("Thorax p.a.", Position.PA),
        ("thorax_P-A_1", Position.PA),
        ("chest (PA)", Position.PA),
        ("postero-anterior", Position.PA),
        ("posterior to anterior", Position.PA),
        ("dorsoventral", Position.PA),
        ("Thorax a.p. liegend", Position.AP),
        ("A/P supine", Position.AP),
        ("ANTEROPOSTERIOR", Position.AP),
        ("chest frontal PA", Position.PA),
        ("ThoraxPA", Position.PA),
        ("patientAP01", Position.AP),
        ("PA bilateral infiltrates", Position.PA),
    ],
)
def test_frontal_projections(text: str, position: Position) -> None:
    assert position_from_words(words_of(text)) is position
