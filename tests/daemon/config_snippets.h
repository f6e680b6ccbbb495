#pragma once

#include <string>
#include <vector>

#include "daemon/config/schema.h"

namespace tidegate::daemon {

/// A section of the table of keys with the dotted path of its header.
struct PlacedSection {
  const Section* section;
  std::string path;
};

/// All sections that a file can have a header for, the file itself with an empty path.
std::vector<PlacedSection> all_sections();

/// A configuration around the line under test, good without it but for the keys that are required.
struct Snippet {
  std::string text;
  std::uint32_t line = 0;         // of the line under test
  std::uint32_t header_line = 0;  // of the table it is in
  std::string key_prefix;         // "driver.mqtt[0]."
};

/// The section at `path` with `line` in it. `key` says which key it is about: what that key needs beside it is there,
/// the key itself is not.
Snippet around(const PlacedSection& placed, const std::string& key, const std::string& line);

}  // namespace tidegate::daemon
