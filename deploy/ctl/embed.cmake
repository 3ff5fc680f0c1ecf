# Writes the texts of the migration FILES as C arrays into OUTPUT.
set(arrays "")
set(rows "")
set(index 0)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "static const unsigned char text_${index}[] = {${bytes}0};\n")
  string(APPEND rows "\t{.name = \"${name}\", .text = (const char *)text_${index}, .n_bytes = sizeof(text_${index}) - 1},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"deploy/ctl/migrate.h\"\n\n${arrays}\nconst struct migration migrations[] = {\n${rows}};\n"
  "const size_t migration_count = ${index};\n")
