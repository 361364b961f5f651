"""All kinds of inputs, by name."""

from fuzz.dumps import Archives, Dumps
from fuzz.kind import Kind
from fuzz.studies import Addresses, Categories, Studies, Variables

KINDS: dict[str, type[Kind]] = {
    kind.name: kind for kind in (Studies, Categories, Addresses, Variables, Dumps, Archives)
}
