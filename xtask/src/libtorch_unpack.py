"""Takes the CPU part of libtorch out of wheels: unpack.py WHEEL_DIR TARGET_DIR.

Headers, two libraries of torch with the OpenMP runtime they name, and the two NVIDIA libraries that the CPU
library of a CUDA build loads. libtorch_cuda.so stays behind on purpose: where it lies, torch-sys links it.
"""

import pathlib
import re
import shutil
import sys
import zipfile

wheels, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
LIBRARY = re.compile(
    r"(torch/lib/(libtorch_cpu\.so|libc10\.so|libgomp[^/]*\.so[^/]*)|nvidia/.*/(libcudart|libcupti)\.so\.12)$"
)
count = 0
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith("/"):
                continue
            if name.startswith("torch/include/"):
                place = target / name.removeprefix("torch/")
            elif LIBRARY.match(name):
                place = target / "lib" / pathlib.PurePosixPath(name).name
            else:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, place.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            count += 1
libraries = sorted(path.name for path in (target / "lib").glob("*.so*"))
missing = [name for name in ("libtorch_cpu.so", "libc10.so", "libcudart.so.12", "libcupti.so.12") if name not in libraries]
if missing:
    sys.exit(f"the wheels in {wheels} do not hold {', '.join(missing)}; found {', '.join(libraries)}")
print(f"{count} files of libtorch unpacked", file=sys.stderr)
