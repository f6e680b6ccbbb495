#pragma once

namespace tidegate {

/// Frees what a string or a vector has room for. Assigning an empty one does not: libstdc++ keeps the room of a string
/// that a short one is moved into, and `= {}` assigns an empty list.
template <class Container>
void free_room(Container& of) {
  Container().swap(of);
}

}  // namespace tidegate
