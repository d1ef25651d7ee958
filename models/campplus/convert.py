"""Make `weights.npz` of the published weights of CAM++: as much as `ser_core.dtdnn` wants.

    python models/campplus/convert.py campplus_cn_en_common.pt models/campplus/weights.npz

PyTorch is not needed: its archive is read here, and nothing in it is executed.
"""

import argparse
import collections
import pickle
import zipfile
from pathlib import Path

import numpy as np

_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Index(pickle.Unpickler):
    """Reads the index of a PyTorch archive, which may name tensors and nothing else."""

    def __init__(self, archive: zipfile.ZipFile):
        (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        super().__init__(archive.open(index))
        self.archive, self.folder = archive, index.removesuffix("data.pkl") + "data/"

    def find_class(self, module: str, name: str):
        """Return one of the four things that a file of weights needs."""
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        allowed = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"the archive asks for {module}.{name}")
        return allowed[module, name]

    def persistent_load(self, reference: tuple):
        """Return the numbers of a storage."""
        _, dtype, key, _, count = reference
        numbers = np.frombuffer(self.archive.read(f"{self.folder}{key}"), dtype)
        if len(numbers) != count:
            raise pickle.UnpicklingError(f"{key} has {len(numbers)} numbers, not {count}")
        return numbers


def _tensor(numbers: np.ndarray, offset: int, shape: tuple, stride: tuple, *_) -> np.ndarray:
    size = int(np.prod(shape))
    array = numbers[offset : offset + size].reshape(shape)
    if size and tuple(step // array.itemsize for step in array.strides) != tuple(stride):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} is not stored row by row")
    return array


def read(path: Path) -> dict[str, np.ndarray]:
    """Read a PyTorch archive of weights; nothing in it is executed."""
    with zipfile.ZipFile(path) as archive:
        return dict(_Index(archive).load())


# Up to the second dense block; what is behind that knows more of speakers than of emotion.
_WANTED = ("head.", "xvector.tdnn.", "xvector.block1.", "xvector.transit1.", "xvector.block2.")


def main(archive: Path, output: Path) -> None:
    """Write the wanted weights in float16, under their published names."""
    found = {
        name: array.astype(np.float16)
        for name, array in read(archive).items()
        if name.startswith(_WANTED) and array.dtype == np.float32
    }
    np.savez_compressed(output, **found)
    total = sum(array.size for array in found.values())
    print(f"{len(found)} arrays, {total:,} numbers, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path)
    wanted = parser.parse_args()
    main(wanted.archive, wanted.output)
