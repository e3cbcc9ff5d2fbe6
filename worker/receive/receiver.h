// gnnflow-receive: what the controller asks of a machine on which nothing of ours runs yet.
#pragma once

namespace gnnflow {

// Speaks on the two descriptors until there is nobody any more; returns the exit code.
int receiver_main(int in, int out);

}  // namespace gnnflow
