"""Makes the Python environment of the comparisons with PyTorch: make_venv.py DIR [--full] [--requirements FILE].

The registry's x86 wheels of torch are built for CUDA and need 4.3 GB of NVIDIA libraries to be imported, also
where nothing but the CPU is used. Instead of those, one small library is compiled that has every function
torch would look up in them; a call of one ends the program with its name. Where that does not work (no C
compiler, other wheels), and with --full, all of torch's own dependencies are installed.
Standard library only. An environment that is complete and current is left as it is.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")
# Written last: without it, or with other requirements in it, the environment is made anew.
STAMP = "luffy-requirements.txt"
LIBRARY = re.compile(r"lib(cublas|cublasLt|cudnn|cufft|cufile|curand|cusolver|cusparse|cusparseLt|nccl|nvshmem_host)\.so")
FUNCTION = re.compile(r"(cublas|cudnn|cufft|cuFile|curand|cusolver|cusparse|p?nccl|nvshmem)")
PROBE = "import torch, transformers; assert (torch.ones(2, 2) @ torch.ones(2, 2)).sum() == 8"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--full", action="store_true", help="with NVIDIA's libraries: 6.9 GB instead of 2.1 GB")
    parser.add_argument(
        "--requirements", type=pathlib.Path, default=REQUIREMENTS, metavar="FILE", help="other packages, as complete"
    )
    args = parser.parse_args()
    small = args.requirements.read_text()
    full = small + "# with every dependency of torch\n"
    stamp = args.dir / STAMP
    # A full environment does for every purpose.
    if stamp.exists() and stamp.read_text() in ([full] if args.full else [small, full]):
        return
    if args.dir.exists() and any(args.dir.iterdir()) and not (args.dir / "pyvenv.cfg").exists():
        sys.exit(f"{args.dir} holds something that is not a Python environment: name another folder")
    if shutil.disk_usage(existing(args.dir)).free < 8 << 30:
        sys.exit(f"less than 8 GB free for {args.dir}: the install needs up to that much")
    begin = time.monotonic()
    say(f"making {args.dir} (once)")
    run([sys.executable, "-m", "venv", "--clear", args.dir])
    python = args.dir / "bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", args.requirements]
    slim = not args.full and make_slim(python, install)
    if not slim:
        say("installing every dependency of torch (6.9 GB)")
        run(install)
        run([python, "-c", PROBE])
    stamp.write_text(small if slim else full)
    say(f"{args.dir} is ready after {time.monotonic() - begin:.0f} s{' (without GPU libraries)' if slim else ''}")


def make_slim(python, install):
    """True if torch and transformers work without NVIDIA's large libraries."""
    try:
        # Pip's word that torch lacks dependencies is the point here.
        run([*install, "--no-deps"])
        where = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
        add_stubs(pathlib.Path(output([python, "-c", where]).strip()) / "lib")
        run([python, "-c", PROBE])
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"the small install does not work here: {error}")
        return False
    return True


def add_stubs(lib):
    """Puts a library into `lib` under every NVIDIA name that torch's libraries there ask for and lack."""
    needed, functions = set(), set()
    for file in sorted(lib.glob("lib*.so*")):
        if file.is_symlink():
            continue
        needed.update(re.findall(r"\(NEEDED\).*\[(.+)\]", output(["readelf", "-dW", file])))
        for line in output(["nm", "-D", "--undefined-only", file]).splitlines():
            functions.add(line.split()[-1].partition("@")[0])
    missing = sorted(name for name in needed if LIBRARY.match(name) and not (lib / name).exists())
    if not missing:
        return
    functions = sorted(name for name in functions if FUNCTION.match(name))
    source = [
        "#include <stdio.h>",
        "#include <stdlib.h>",
        "static void stop(const char *name) {",
        '    fprintf(stderr, "%s: this environment was made without GPU libraries; use make_venv.py --full\\n", name);',
        "    abort();",
        "}",
        *(f"void {name}(void) {{ stop(__func__); }}" for name in functions),
    ]
    stub = lib / "libno_gpu.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-o", stub, "-"], input="\n".join(source), text=True, check=True
    )
    for name in missing:
        (lib / name).symlink_to(stub.name)
    say(f"{len(missing)} NVIDIA libraries replaced by one with {len(functions)} empty functions")


def existing(path):
    """The nearest folder at or above `path` that is there."""
    path = path.absolute()
    return path if path.exists() else existing(path.parent)


def run(command):
    # Standard output belongs to the caller's results.
    subprocess.run(command, check=True, stdout=sys.stderr)


def output(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
