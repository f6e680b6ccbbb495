# Debian 12's armhf has a 32-bit time_t and off_t: the tree keeps times in int64 nanoseconds and compiles with
# _FILE_OFFSET_BITS=64. _TIME_BITS=64 would break the binary interface of libstdc++ and OpenSSL.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(TIDEGATE_DEBIAN_ARCH armhf)
set(TIDEGATE_TRIPLET arm-linux-gnueabihf)
set(TIDEGATE_QEMU qemu-arm-static)
include(${CMAKE_CURRENT_LIST_DIR}/debian_cross.cmake)
