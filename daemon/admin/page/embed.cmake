# cmake -DOUT=FILE.cc -DFOLDER=DIR -P embed.cmake: the files of the status page as texts of the program.
set(text "#include \"daemon/admin/status_page.h\"\n\nnamespace tidegate::daemon {\n\n")
foreach(file index.html login.html style.css page.js icon.svg)
  string(REPLACE "." "_" name ${file})
  file(READ "${FOLDER}/${file}" content)
  string(APPEND text "const std::string_view kPage_${name} = R\"tidegate(${content})tidegate\";\n")
endforeach()
string(APPEND text "\n}  // namespace tidegate::daemon\n")
file(WRITE "${OUT}" "${text}")
