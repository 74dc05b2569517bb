"""Says which of the completions of the commands are not current.

python tests/completions.py            says which
python tests/completions.py --write    writes them to llmtools/completions
"""

import sys

from support.completion_scripts import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
