"""Configuration of the documentation.

`sphinx-build -n -W --keep-going -b html docs OUT` needs no network. With PYTEST_UNO_DOCS_ONLINE=1 the
references to Python, pytest, pytest-asyncio and SQLAlchemy become links.
"""

from __future__ import annotations

import os
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from sphinx.application import Sphinx

from pytest_uno._version import __version__

project = "pytest-uno"
author = "The pytest-uno developers"
copyright = f"2026, {author}"  # noqa: A001 - the name that Sphinx reads
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
root_doc = "index"
default_role = "code"

html_theme = "furo"
html_title = f"pytest-uno {release}"
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

if os.environ.get("PYTEST_UNO_DOCS_ONLINE") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "pytest": ("https://docs.pytest.org/en/stable", None),
        "pytest_asyncio": ("https://pytest-asyncio.readthedocs.io/en/stable", None),
        "sqlalchemy": ("https://docs.sqlalchemy.org/en/20", None),
    }

# Names of other projects cannot be looked up offline, and signatures name types that we do not document.
# Our own names, all but type variables, and every link between our pages are checked.
nitpick_ignore_regex = [(r"py:.*", r"(?!pytest_uno\.).*|pytest_uno\.(\w+\.)+([A-Z]|[A-Z]\w*T)")]
# Types of arguments and attributes that only other parts of this package make.
nitpick_ignore = [
    ("py:class", "pytest_uno.explore.report.Progress"),
    ("py:class", "pytest_uno.explore.run.Surroundings"),
    ("py:class", "pytest_uno.leaks.model.Frame"),
]


def publish_schema(app: Sphinx, exception: Exception | None) -> None:
    """Put the schema of the JSON report at the address that the reports name."""
    if exception is None and app.builder.format == "html":
        target = Path(app.outdir, "schema", "leaks-1.json")
        target.parent.mkdir(exist_ok=True)
        with as_file(files("pytest_uno.reports") / "leaks-1.schema.json") as schema:
            shutil.copyfile(schema, target)


def show_public_bases(app: Sphinx, name: str, obj: object, options: object, bases: list[type]) -> None:
    """Name asyncio's loop as the base of the virtual one, not the classes in between, which are private."""
    bases[:] = [
        public
        for base in bases
        for public in (_public_bases(base) if base.__module__.startswith("pytest_uno.clock.") else (base,))
    ]


def _public_bases(private: type) -> list[type]:
    return [base for base in private.__mro__ if base.__module__.startswith("asyncio.")][:1]


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("build-finished", publish_schema)
