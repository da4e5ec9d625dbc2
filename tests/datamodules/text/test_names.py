"""Names hidden in texts."""

import pytest

from datamodules.text.normalise import HiddenNames

NAMES = HiddenNames(["CNN", "Fox News", "Fox", "The Hill", "TheBlaze.com"])


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("( CNN ) Fox News said", "( the outlet ) the outlet said"),
        ("CNN's reporter, Fox.", "the outlet's reporter, the outlet."),
        ("Foxes and cnn stay, the hill too", "Foxes and cnn stay, the hill too"),
        ("The\n Hill told TheBlaze.com.", "the outlet told the outlet."),
        ("TheBlazexcom, CNN2", "TheBlazexcom, CNN2"),
    ],
)
def test_whole_names_in_their_own_case_are_hidden_the_longest_first(text, hidden):
    assert NAMES.hide(text) == hidden


def test_a_file_gives_a_name_a_line_without_its_comments(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("# outlets\n  # by name\nVox\n\n  Salon \n")
    assert HiddenNames(str(file), by="X").hide("Vox, Salon # outlets") == "X, X # outlets"


@pytest.mark.parametrize("names", [[], [" "]])
def test_no_names_are_refused(names):
    with pytest.raises(ValueError, match="names: there is none"):
        HiddenNames(names)
