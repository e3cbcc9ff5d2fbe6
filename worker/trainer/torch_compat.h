// libtorch as this module sees it, and all that differs between 1.13 (Debian) and 2.x (PyPI).
#pragma once

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/version.h>

// 2.x: a Store can be cloned.
#define GNNFLOW_TORCH2 (TORCH_VERSION_MAJOR >= 2)

// PyPI's libtorch 2.x has a oneDNN of its own inside and exports parts of its code generator: a libdnnl that
// is linked beside it binds to these and refuses every product. So it is loaded later and bound to itself
// (RTLD_DEEPBIND).
#define GNNFLOW_LOAD_ONEDNN GNNFLOW_TORCH2
