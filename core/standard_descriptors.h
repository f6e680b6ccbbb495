#pragma once

namespace tidegate {

/// Whoever started us may have closed standard input, output or error. What is opened next would get their numbers, and
/// what is printed would go into a socket or a file of ours. In their place stands what neither gives nor takes
/// anything: writing to it fails as to one that is closed. Before anything else is opened.
void fill_standard_descriptors();

}  // namespace tidegate
