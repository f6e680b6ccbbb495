#pragma once

#include <algorithm>
#include <string>

namespace tidegate {

/// With small letters for the large ones of ASCII, whatever the locale is: names of HTTP and of hosts mean the same.
inline std::string small_letters(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

}  // namespace tidegate
