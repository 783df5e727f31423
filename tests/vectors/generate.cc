// generate-mikey-vectors: writes lib/mikey/vectors/keystub-mikey-1.json to standard output.
#include <exception>
#include <iostream>

#include "tests/vectors/document.h"

int main() {
  try {
    std::cout << keystub::vectors::document();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
