"""Import target of configs: checkpoints are read without running code, files written whole, folders listed by name.

``custom_imports = dict(imports=['dlc_mmseg', 'dlc_mmseg.safe_files'])``, as in every config of this package, replaces

- every scheme of MMEngine's `CheckpointLoader`, through which ``load_from``, ``resume``, ``init_cfg``, `init_model` and
  `MMSegInferencer` read: files that hold more than tensors, plain values and MMEngine's own log are refused with a
  remedy, where OneDL's loaders would run what they hold and OpenMMLab's fail under torch >= 2.6;
- MMEngine's backend of local files, with which checkpoints, logs and configs are written: a kill or a full disk leaves
  the file that was there before;
- which files `MMSegInferencer` takes of a folder: the images, in the order of their names, where it would take all
  files in the order of the disk and number the maps so.

Importing `dlc_mmseg` alone leaves all of them as they are.
"""

from dlc_mmseg.datasets.inferencer_folder import list_folders_by_name
from dlc_mmseg.files.checkpoint_loaders import register_safe_loaders
from dlc_mmseg.files.local_backend import register_atomic_backend

register_atomic_backend()
register_safe_loaders()
list_folders_by_name()
