// Where this process stands among those that train one model together.
#pragma once

#include <cstdint>
#include <string>

namespace unnoise {

/// What a launcher tells each process (torchrun's RANK, WORLD_SIZE ...). The library never reads the environment: the
/// program fills this in.
struct ProcessPlace {
  int64_t rank = 0;                       ///< 0 to world_size - 1; rank 0 writes the files
  int64_t world_size = 1;                 ///< processes in all
  int64_t local_rank = 0;                 ///< among those of this machine: says which GPU is this one's
  int64_t local_world_size = 1;           ///< of this machine: they share its processor cores
  std::string master_addr = "127.0.0.1";  ///< the machine of rank 0, by the name that the others know it by
  int64_t master_port = 29500;            ///< where the processes first meet
  bool launcher_listens = false;          ///< the launcher serves that port (torchrun does); else rank 0 does
  std::string attempt = "0";              ///< tells a restart from the start before it, at the launcher's port
};

}  // namespace unnoise
