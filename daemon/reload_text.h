#pragma once

#include <string>

#include "core/error.h"

namespace tidegate::daemon {

/// What /api/v1/reload answers, as the commands print it.
struct ReloadText {
  std::string config_file;
  std::string result;    // "preview", "done", "wrong", "failed"
  std::string problems;  // of the files, a line each
  std::string error;     // why nothing, or not all, was done
  std::string changes;   // section by section
  std::string waiting;   // what waits for a restart; empty when nothing does
};

/// Error: the answer is not what this version understands.
Result<ReloadText> reload_as_text(const std::string& json);

}  // namespace tidegate::daemon
