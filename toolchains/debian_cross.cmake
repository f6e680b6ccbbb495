# Cross building for Debian 12 against an unpacked sysroot (scripts/make-sysroot ARCH), never against foreign packages of
# the build host. Included by the files of the architectures, which set:
#   TIDEGATE_DEBIAN_ARCH  Debian's name (arm64, armhf)
#   TIDEGATE_TRIPLET      the GNU triplet
#   TIDEGATE_QEMU         the user-mode emulator that runs the tests
set(CMAKE_SYSTEM_NAME Linux)

if(NOT TIDEGATE_SYSROOT)
  if(DEFINED ENV{TIDEGATE_SYSROOT})
    set(TIDEGATE_SYSROOT "$ENV{TIDEGATE_SYSROOT}")
  else()
    get_filename_component(TIDEGATE_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../build/sysroot-${TIDEGATE_DEBIAN_ARCH}" ABSOLUTE)
  endif()
endif()
if(NOT EXISTS "${TIDEGATE_SYSROOT}/usr/include")
  message(FATAL_ERROR "no sysroot at ${TIDEGATE_SYSROOT}: run scripts/make-sysroot ${TIDEGATE_DEBIAN_ARCH}, "
                      "or set TIDEGATE_SYSROOT")
endif()

# The small projects that CMake builds to try the compiler read this file again and need the same answer.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TIDEGATE_SYSROOT)

set(CMAKE_SYSROOT "${TIDEGATE_SYSROOT}")
set(CMAKE_C_COMPILER ${TIDEGATE_TRIPLET}-gcc-12)
set(CMAKE_CXX_COMPILER ${TIDEGATE_TRIPLET}-g++-12)
set(CMAKE_LIBRARY_ARCHITECTURE ${TIDEGATE_TRIPLET})

set(CMAKE_FIND_ROOT_PATH "${TIDEGATE_SYSROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_LIBDIR}
    "${TIDEGATE_SYSROOT}/usr/lib/${TIDEGATE_TRIPLET}/pkgconfig:${TIDEGATE_SYSROOT}/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${TIDEGATE_SYSROOT}")

set(CMAKE_CROSSCOMPILING_EMULATOR "${TIDEGATE_QEMU};-L;${TIDEGATE_SYSROOT}")
