#pragma once

namespace tidegate::testing {

/// Whether this is built with a sanitizer that keeps memory which was given back: how much there is says nothing then.
/// That for undefined behaviour, which is beside it, looks at memory by a pipe: without descriptors it takes good
/// objects for bad ones.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace tidegate::testing
