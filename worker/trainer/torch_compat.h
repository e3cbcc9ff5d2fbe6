// libtorch as this module sees it, and all that differs between 1.13 (Debian) and 2.x (PyPI).
#pragma once

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/version.h>

// 2.x: a Store can be cloned, process groups are backends.
#define GNNFLOW_TORCH2 (TORCH_VERSION_MAJOR >= 2)
