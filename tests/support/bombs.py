"""Files that take a lot of memory or time to read, or that a reader may trip over; most of them are small."""

import io
import struct
import zipfile
import zlib

from support.workbooks import workbook, zipped

HEADER = ("item_id", "rater", "batch", "bug_index", "is_bug")
ROW = ("SO-Keras-1", "ann", 100, 1, "true")
#: The beginning of a CSV file with one valid row.
CSV = b"item_id,rater,batch,bug_index,is_bug,place,title\nSO-Keras-1,ann,100,1,true,line 1,\n"
MIB = 1 << 20

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PAGE = "xl/worksheets/sheet1.xml"
_TEXT = "<is><t>x</t></is>"


def _parts() -> dict[str, bytes]:
    """Return the parts of a workbook with one valid row."""
    with zipfile.ZipFile(io.BytesIO(workbook({"labels": [HEADER, ROW]}))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_page(old: str, new: str) -> bytes:
    """Return a workbook whose sheet's XML has one text replaced by another."""
    parts = _parts()
    page = parts[_PAGE].decode()
    assert old in page
    return zipped(parts | {_PAGE: page.replace(old, new).encode()})


def with_rows(rows: str) -> bytes:
    """Return a workbook with more rows, as XML, after the valid one."""
    return with_page("</sheetData>", f"{rows}</sheetData>")


def with_strings(strings: bytes) -> bytes:
    """Return a workbook with these shared strings, as XML."""
    parts = _parts()
    name = "xl/_rels/workbook.xml.rels"
    relation = f'<Relationship Id="rId9" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    parts[name] = parts[name].replace(b"</Relationships>", relation.encode())
    return zipped(parts | {"xl/sharedStrings.xml": strings})


#: A cell in the last column of the last row, in the spellings that XML allows.
FAR_CELLS = {
    "usual": f'<row r="1048576"><c r="XFD1048576" t="inlineStr">{_TEXT}</c></row>',
    "single quotes": f"<row r='1048576'><c r='XFD1048576' t='inlineStr'>{_TEXT}</c></row>",
    "other attributes first": f'<row r="1048576"><c t="inlineStr" s="0" r="XFD1048576">{_TEXT}</c></row>',
    "white space": f'<row\n r = "1048576"><c\n t = "inlineStr"\n r\n=\n"XFD1048576" >{_TEXT}</c ></row>',
    "prefix": f'<x:row xmlns:x="{_MAIN}" r="1048576"><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row>',
    "number": '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
    "formula": '<row r="1048576"><c r="XFD1048576"><f>1+1</f><v>2</v></c></row>',
    "row of another number": f'<row r="3"><c r="XFD1048576" t="inlineStr">{_TEXT}</c></row>',
    "in two steps": '<row r="1048576"><c r="A1048576"><v>1</v></c></row><row r="5"><c r="XFD5"><v>1</v></c></row>',
    "entity": f'<row r="1048576"><c r="&#88;FD1048576" t="inlineStr">{_TEXT}</c></row>',
    "no such row": f'<row r="4294967295"><c r="XFD4294967295" t="inlineStr">{_TEXT}</c></row>',
    "no such column": f'<row r="3"><c r="ZZZZZZ3" t="inlineStr">{_TEXT}</c></row>',
}


def shared_strings(size: int = 0, stated: int = 1) -> bytes:
    """Return shared strings of this size, which compress to a hundredth, with a statement of their number."""
    one = "<si><t>a</t></si>"
    return f'<sst xmlns="{_MAIN}" count="{stated}" uniqueCount="{stated}">{one * (size // len(one) + 1)}</sst>'.encode()


def with_entities() -> bytes:
    """Return a workbook with a cell whose entity expands to a billion texts."""
    entities = '<!ENTITY a0 "lol">'
    for number in range(1, 10):
        entities += f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">'
    strings = f'<sst xmlns="{_MAIN}"><si><t>&a9;</t></si></sst>'
    return with_strings(f"<!DOCTYPE sst [{entities}]>{strings}".encode())


def with_wrong_sizes(size: int) -> bytes:
    """Return a workbook whose sheet unpacks to more than its zip states, with the checksum of what is stated."""
    parts = _parts()
    parts[_PAGE] = parts[_PAGE].replace(b"</sheetData>", b" " * size + b"</sheetData>")
    content = zipped(parts)
    page = parts[_PAGE]
    for true, stated in ((len(page), 1000), (zlib.crc32(page), zlib.crc32(page[:1000]))):
        content = content.replace(struct.pack("<L", true), struct.pack("<L", stated))
    return content


def with_overlapping_parts(count: int) -> bytes:
    """Return a workbook whose directory lists this number of further parts, all in the same place."""
    content = zipped(_parts())
    end = content.rindex(b"PK\x05\x06")
    (start,) = struct.unpack("<L", content[end + 16 : end + 20])
    directory = content[start:end]
    start_of_entry = directory.index(_PAGE.encode()) - 46
    entry = directory[start_of_entry : start_of_entry + 46]
    more = b"".join(entry + f"xl/worksheets/{n:010}".encode() for n in range(count))
    # The directory of more than 65,535 entries is described by zip64's end of directory.
    size = len(directory) + len(more)
    total = 5 + count
    end64 = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, total, total, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    last = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return content[:start] + directory + more + end64 + locator + last
