#pragma once

#include <pthread.h>

#include <csignal>

namespace tidegate::uplink {

/// On this thread from now on. OpenSSL writes to sockets that the other side has closed.
inline void block_sigpipe() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

}  // namespace tidegate::uplink
