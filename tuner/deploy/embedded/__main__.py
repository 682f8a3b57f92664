"""python -m tuner.deploy.embedded <llama-server flags>: serve with the embedded engine."""

import sys

from tuner.deploy.embedded.server import main

sys.exit(main(sys.argv[1:]))
