"""Run the command as `python -m dlbug_assets.cli`."""

from dlbug_assets.cli.main import main
from dlbug_assets.cli.stopping import stoppable

with stoppable():
    main()
