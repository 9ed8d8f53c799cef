"""Runs requests on a SavedModel through TensorFlow's C API; imports neither TensorFlow nor us.

python c_api.py LIBRARY SAVED_MODEL REQUESTS.json

REQUESTS.json is a list of {"inputs": {tensor name: [dtype, values]}, "outputs": [tensor names]}.
Prints a JSON list: of each request its outputs, or the message of its error.
"""

import ctypes
import json
import sys

import numpy as np

TYPES = {1: np.float32, 3: np.int32, 9: np.int64}
NUMBERS = {np.dtype(kind).name: number for number, kind in TYPES.items()}
POINTER = ctypes.c_void_p


class Output(ctypes.Structure):
    _fields_ = [("operation", POINTER), ("index", ctypes.c_int)]


def load(library):
    c = ctypes.CDLL(library)
    for name in (
        "TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel",
        "TF_GraphOperationByName", "TF_AllocateTensor", "TF_TensorData",
    ):  # fmt: skip
        getattr(c, name).restype = POINTER
    c.TF_Message.restype = ctypes.c_char_p
    c.TF_Dim.restype = ctypes.c_int64
    return c


class Session:
    def __init__(self, library, saved_model):
        self.c = load(library)
        self.status = POINTER(self.c.TF_NewStatus())
        self.graph = POINTER(self.c.TF_NewGraph())
        options = POINTER(self.c.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = POINTER(
            self.c.TF_LoadSessionFromSavedModel(
                options, None, saved_model.encode(), tags, 1, self.graph, None, self.status
            )
        )
        self.check()

    def check(self):
        if self.c.TF_GetCode(self.status):
            raise RuntimeError(self.c.TF_Message(self.status).decode())

    def find(self, name):
        operation, index = name.split(":")
        found = self.c.TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise RuntimeError(f"no operation {operation}")
        return Output(found, int(index))

    def tensor(self, dtype, values):
        array = np.array(values, dtype, order="C")  # ascontiguousarray makes a scalar a vector.
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        size = ctypes.c_size_t(array.nbytes)
        made = POINTER(self.c.TF_AllocateTensor(NUMBERS[dtype], shape, array.ndim, size))
        ctypes.memmove(self.c.TF_TensorData(made), array.tobytes(), array.nbytes)
        return made

    def array(self, tensor):
        shape = [self.c.TF_Dim(tensor, axis) for axis in range(self.c.TF_NumDims(tensor))]
        made = np.zeros(shape, TYPES[self.c.TF_TensorType(tensor)])
        if made.nbytes:
            ctypes.memmove(made.ctypes.data, self.c.TF_TensorData(tensor), made.nbytes)
        return made

    def run(self, inputs, outputs):
        tensors = [self.tensor(*value) for value in inputs.values()]
        results = (POINTER * len(outputs))()
        self.c.TF_SessionRun(
            self.session,
            None,
            (Output * len(inputs))(*map(self.find, inputs)),
            (POINTER * len(inputs))(*tensors),
            len(inputs),
            (Output * len(outputs))(*map(self.find, outputs)),
            results,
            len(outputs),
            None,
            0,
            None,
            self.status,
        )
        self.check()
        return [self.array(POINTER(result)).tolist() for result in results]


def main(library, saved_model, requests):
    session = Session(library, saved_model)
    answers = []
    with open(requests) as file:
        for request in json.load(file):
            try:
                answers.append(session.run(**request))
            except RuntimeError as error:
                answers.append(str(error))
    loaded = {"tensorflow", "magenta_vae"} & set(sys.modules)
    if loaded:
        sys.exit(f"imported: {loaded}")
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
