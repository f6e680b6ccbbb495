#pragma once

#include <string>
#include <thread>

#include "core/descriptor.h"
#include "drivers/modbus/interrupt.h"

namespace tidegate::drivers {

/// A serial line without hardware: two pseudo-terminals whose masters are joined. Each end is a path to open.
class PtyLine {
 public:
  PtyLine();
  ~PtyLine();
  const std::string& one_end() const { return paths_[0]; }
  const std::string& other_end() const { return paths_[1]; }

 private:
  void pump();

  Descriptor masters_[2];
  Descriptor held_[2];  // the other sides, so that a master has one before anybody opens it
  std::string paths_[2];
  Interrupt interrupt_;
  std::thread thread_;
};

}  // namespace tidegate::drivers
