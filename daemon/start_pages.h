#pragma once

namespace tidegate::daemon {

/// Gives back the pages of program and libraries that only the start has used: reading the configuration, opening the
/// log, connecting. What is used again comes back from the page cache. Only code, which is never changed, is let go of.
void give_back_start_pages();

}  // namespace tidegate::daemon
