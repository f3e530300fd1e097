"""A Keras model's file, and the names of its classes beside it: what is in them, or why they cannot be read."""

import json
import re
import zipfile

import h5py
import keras

from helpers import paths

MODEL_FILES = (".keras", ".h5", ".hdf5")
LONGEST = 800  # characters of a reason, so long as no configuration is in it
DETAILS = re.compile(
    r"Make sure custom|Please ensure|Full (object )?config|config=|Arguments received|List of objects|Target variable"
)
UNKNOWN = re.compile(r"(?:Could not locate \w+|Unknown [\w ]+:) '([^']+)'")


def load(name, custom_objects=None):
    """The Keras model in the file that `name` means, relative to the working directory or the project, and that file.

    custom_objects: {name: class or function} of what in it is not Keras' own. Raises FileNotFoundError, and ValueError
    that says why the file cannot be read and what to do.
    """
    file = _model_file(name)
    try:
        return keras.models.load_model(file, custom_objects=custom_objects, compile=False), file
    except Exception as error:  # Keras raises many kinds on foreign and damaged files; each becomes the reason
        reason = _other_kind(file) or f"{cause(error)}{_advice(str(error), file)}"
        raise ValueError(f"{file.name} cannot be read as a Keras model: {reason}") from error


def cause(error):
    """Why Keras failed, in one line: the innermost message and the layer it is about, without their configurations."""
    text = str(error)
    layers = re.findall(r"deserializing class '(\w+)'|<class '(?:\w+\.)*(\w+)'> could not", text)
    text = text.rpartition("Exception encountered: ")[2]
    called = re.findall(r"\x1b\[1m(.*?)\x1b\[0m", text, re.DOTALL)  # a layer's call failed: Keras prints why in bold
    reason = " ".join(DETAILS.split(called[-1] if called else text)[0].split()).rstrip(" .:")
    if len(reason.split()) < 2:
        reason = f"{type(error).__name__} {reason}".strip()
    layer = "".join(layers[-1]) if layers else ""
    return (reason if layer in reason else f"{layer}: {reason}")[:LONGEST]


def class_names(file, classes):
    """The names of the classes of every head, {head: [names], or None without a file}, as the `file` says.

    classes: {head: how many}. It holds {"class_names": [...]}, for several heads {"class_names": {head: [...]}}.
    """
    if not file.exists():
        return dict.fromkeys(classes)
    try:
        given = json.loads(file.read_text(encoding="utf-8-sig"))["class_names"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{file.name} beside the model: expected {{"class_names": [...]}} ({error!r})') from error
    named = {str(head): names for head, names in given.items()} if len(classes) > 1 and isinstance(given, dict) else {}
    found = {head: named.get(str(head)) if len(classes) > 1 else given for head in classes}
    for head, count in classes.items():
        if not isinstance(found[head], list) or len(found[head]) != count:
            of_head = f" for its output {head!r}" if len(classes) > 1 else ""
            raise ValueError(f"{file.name} beside the model: expected {count} class_names{of_head}, one for each class")
    return {head: [str(name) for name in names] for head, names in found.items()}


def _model_file(name):
    file = paths.given(name)
    if not name or not file.exists():
        raise FileNotFoundError(f"no model file {name!r}: give runs/<name>, or the path of a .keras or .h5 file")
    if file.name.endswith(".weights.h5"):
        advice = 'save the whole network, model.save("name.keras"), or give a training run of this project, runs/<name>'
        raise ValueError(f"{file.name} holds weights without their network: {advice}")
    if file.is_dir() or file.suffix.lower() not in MODEL_FILES:
        kind = "a folder" if file.is_dir() else "not a .keras or .h5 file"
        raise ValueError(f'{file.name} is {kind}: save the network with model.save("name.keras") and give that file')
    return file


def _other_kind(file):
    """Why a file is none that Keras writes under such a name, which it calls not found; else an empty text."""
    zipped = zipfile.is_zipfile(file)
    if zipped != (file.suffix == ".keras") and (zipped or h5py.is_hdf5(file)):
        return f"it is {'a .keras' if zipped else 'an .h5'} file under another name; rename it"
    try:
        with (zipfile.ZipFile if zipped else h5py.File)(file) as content:
            whole = not zipped or "config.json" in content.namelist()
    except (OSError, zipfile.BadZipFile):
        whole = False
    return "" if whole else "it is damaged, or of another kind; save it again"


def _advice(text, file):
    """What helps where `text` is what Keras said about a `file`."""
    advice = ""
    if unknown := UNKNOWN.search(text):
        registered = re.findall(r"'registered_name': '([^']+)'", text[unknown.end() :])
        name = registered[-1] if registered and "function" not in unknown[0] else unknown[1]
        advice = f'. Give it: open_network("{file.name}", custom_objects={{"{name}": ...}})'
    elif "No model config" in text:
        advice = '. It holds weights without their network: save the whole network, model.save("name.keras")'
    version = _made_with(file)
    this = f"It was made with Keras {version}, and this is Keras {keras.__version__}"
    if version and _release(version) < [3]:
        return f"{advice}. {this}: open it with tf_keras and set its weights in the same network, built with Keras 3"
    newer = version and _release(version) > _release(keras.__version__)
    return f"{advice}. {this}: update it, pip install -U keras" if newer else advice


def _release(version):
    return [int(number) for number in re.findall(r"\d+", version)[:2]]


def _made_with(file):
    """The version of Keras that wrote a file; an empty text where it does not say."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return json.loads(archive.read("metadata.json"))["keras_version"]
        with h5py.File(file) as attributes:
            version = attributes.attrs["keras_version"]
            return version.decode() if isinstance(version, bytes) else version
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return ""
