"""All kinds of inputs, by name."""

from fuzz.commits import Commits
from fuzz.dumps import Archives, Dumps
from fuzz.kind import Kind
from fuzz.queries import Queries
from fuzz.releases import ReleasedJson, ReleasedTables, ReleasedWorkbooks
from fuzz.replies import GitHubReplies, StackExchangeReplies
from fuzz.sheets import LabelStudio, Sheets, Workbooks
from fuzz.studies import Addresses, Categories, Studies, Variables
from fuzz.submitted_rows import RowsOfLabelStudio, RowsOfOpenDocument, RowsOfText, RowsOfWorkbooks

_KINDS: tuple[type[Kind], ...] = (
    Studies, Categories, Addresses, Variables, Dumps, Archives, StackExchangeReplies, GitHubReplies, Sheets, Workbooks,
    LabelStudio, RowsOfText, RowsOfWorkbooks, RowsOfOpenDocument, RowsOfLabelStudio,
    Queries, Commits, ReleasedTables, ReleasedJson, ReleasedWorkbooks,
)  # fmt: skip
KINDS = {kind.name: kind for kind in _KINDS}
