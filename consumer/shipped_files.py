"""The YAML files of `deploy/` that come with an installation: where they lie, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from consumer.json_findings import reasons

M = TypeVar("M", bound=BaseModel)


def shipped(module: str, name: str) -> Path:
    """A file that comes with this installation, beside a module; in a checkout in `deploy/`."""
    beside = Path(module).with_name(name)
    return beside if beside.is_file() else Path(__file__).parents[1] / "deploy" / name


def read_yaml(path: Path, model: type[M], error: type[ValueError]) -> M:
    """Read and check a file.

    Raises:
        ValueError: of the type `error`; the file is missing or not valid, and the text names it.
    """
    import yaml

    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as failed:
        raise error(f"{path}: {failed.strerror}") from failed
    except ValidationError as failed:
        raise error(f"{path}: {reasons(failed)}") from failed
    except (yaml.YAMLError, UnicodeDecodeError) as failed:
        raise error(f"{path}: {failed}") from failed
