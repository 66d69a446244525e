"""The server that downloads are tested with."""

from tests.data.conftest import contents as contents
from tests.data.conftest import server as server
