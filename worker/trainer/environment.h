// What a training process sets before anything is allocated.
#pragma once

namespace gnnflow {

// Memory of tensors is kept and used again: without this each batch maps and faults in its pages anew.
void keep_freed_memory();

}  // namespace gnnflow
