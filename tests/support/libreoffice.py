"""LibreOffice Calc as a person uses it: opens a workbook, types into its cells and saves it as .xlsx."""

import shutil
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

_LIBRARY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "library.dtd">
<library:library xmlns:library="http://openoffice.org/2000/library" library:name="Standard" library:readonly="false"
 library:passwordprotected="false"><library:element library:name="Typing"/></library:library>"""
_MODULE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Typing" script:language="StarBasic">
{}
</script:module>"""


def type_into(path: Path, page: str, cells: dict[str, str], folder: Path) -> Path:
    """Return a copy of a workbook, in ``folder``, with texts typed into cells (B2, ..); skip without LibreOffice."""
    profile, saved = folder / "profile", folder / "saved" / path.name
    saved.parent.mkdir(parents=True)
    _run(profile, "--terminate_after_init")
    library = profile / "user" / "basic" / "Standard"
    (library / "script.xlb").write_text(_LIBRARY)
    (library / "Typing.xba").write_text(_MODULE.format(escape(_typing(path, page, cells, saved))))
    _run(profile, "macro:///Standard.Typing.Main")
    return saved


def _run(profile: Path, argument: str) -> None:
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("LibreOffice (package libreoffice-calc) is not installed")
    arguments = ["--headless", "--norestore", f"-env:UserInstallation=file://{profile}", argument]
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=120)


def _typing(path: Path, page: str, cells: dict[str, str], saved: Path) -> str:
    """Return a macro that types: EnterString does what the input line does."""
    lines = [
        "Sub Main",
        "Dim nothing_()",
        "Dim argument(0) As New com.sun.star.beans.PropertyValue",
        f'book = StarDesktop.loadComponentFromURL(ConvertToURL({_text(path)}), "_blank", 0, nothing_())',
        f"book.CurrentController.setActiveSheet(book.Sheets.getByName({_text(page)}))",
        'keyboard = createUnoService("com.sun.star.frame.DispatchHelper")',
        "frame = book.CurrentController.Frame",
    ]
    for cell, typed in cells.items():
        for command, name, value in ((".uno:GoToCell", "ToPoint", cell), (".uno:EnterString", "StringName", typed)):
            lines += [
                f"argument(0).Name = {_text(name)}",
                f"argument(0).Value = {_text(value)}",
                f'keyboard.executeDispatch(frame, {_text(command)}, "", 0, argument())',
            ]
    lines += [
        'argument(0).Name = "FilterName"',
        'argument(0).Value = "Calc MS Excel 2007 XML"',
        f"book.storeToURL(ConvertToURL({_text(saved)}), argument())",
        "book.close(True)",
        "End Sub",
    ]
    return "\n".join(lines)


def _text(value: object) -> str:
    """Return a text as Basic writes it."""
    return '"' + str(value).replace('"', '""') + '"'
