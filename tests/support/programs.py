"""What of foreign programs is on this machine; what is not here is not collected many times over.

One test of each kind stays and is skipped with its reason, so that a run says what it lacked.
"""

import shutil

OLLAMAS = ["stand-in", *(["real"] if shutil.which("ollama") else [])]
SHELLS_HERE = [name for name in ("bash", "zsh", "fish") if shutil.which(name)]
