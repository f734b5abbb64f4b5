"""The present package as a wheel of another version."""

from pathlib import Path
from typing import Final
from zipfile import ZipFile

import prefork

METADATA: Final = "Metadata-Version: 2.1\nName: prefork\nVersion: {version}\n"
WHEEL: Final = "Wheel-Version: 1.0\nGenerator: prefork\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
SCRIPTS: Final = "[console_scripts]\nprefork = prefork.entry:prefork\nprefork-hello = prefork.entry:prefork_hello\n"


def wheel(folder: Path, version: str, **more: str) -> Path:
    """Return the package as a wheel of this version; `more` is code that is put at the end of modules."""
    package = Path(prefork.__file__).parent
    files = {f"prefork/{each.relative_to(package)}": each.read_text() for each in package.rglob("*.py")}
    files["prefork/version.py"] = f'VERSION = "{version}"\n'
    for name, code in more.items():
        files[f"prefork/{name}.py"] += code
    said = {"METADATA": METADATA.format(version=version), "WHEEL": WHEEL, "entry_points.txt": SCRIPTS}
    files |= {f"prefork-{version}.dist-info/{name}": text for name, text in said.items()}
    record = f"prefork-{version}.dist-info/RECORD"
    files[record] = "".join(f"{name},,\n" for name in (*files, record))
    path = folder / f"prefork-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path
