"""Templates and experiments are found in a checkout, in a wheel, and where the person has their own."""

import pytest

from tuner.errors import UserError
from tuner.spec import shipped


def test_a_shipped_template_is_found_by_name_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "--model" in shipped.template("llama_server.argv.j2")


def test_a_persons_own_file_comes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llama_server.argv.j2").write_text("mine")
    assert shipped.template("llama_server.argv.j2") == "mine"


def test_an_experiment_is_found_with_folder_and_ending_or_without(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("quickstart", "quickstart.yaml", "search_spaces/quickstart.yaml"):
        assert shipped.search_space(name).is_file()


def test_what_is_not_there_names_what_ships():
    with pytest.raises(UserError, match=r"template no.j2: no such file; these ship: .*llama_server.argv.j2"):
        shipped.template("no.j2")


def test_a_path_into_nowhere_is_not_taken_for_a_shipped_name(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        shipped.template(str(tmp_path / "llama_server.argv.j2"))


def test_in_a_wheel_the_packaged_copy_is_found(monkeypatch, tmp_path):
    packaged = tmp_path / "shipped" / "templates"
    packaged.mkdir(parents=True)
    (packaged / "x.j2").write_text("from the wheel")
    monkeypatch.setattr(shipped, "_ROOTS", (tmp_path, tmp_path / "shipped"))
    assert shipped.template("x.j2") == "from the wheel"
