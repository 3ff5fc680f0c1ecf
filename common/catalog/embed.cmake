# Writes OUTPUT, a C file with the bytes of the JSON documents in DIRECTORY that NAMES lists (sorted, separated by commas).
# Run by the build: cmake -DDIRECTORY=... -DNAMES=... -DOUTPUT=... -P embed.cmake
string(REPLACE "," ";" names "${NAMES}")
set(arrays "")
set(rows "")
set(index 0)
foreach(name IN LISTS names)
  file(READ ${DIRECTORY}/${name} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char document_${index}[] = {\n${bytes}\n};\n")
  string(APPEND rows "\t{.name = {\"${name}\", sizeof(\"${name}\") - 1},\n"
    "\t .text = {(const char *)document_${index}, sizeof(document_${index})}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUTPUT}.new
  "#include \"common/catalog_data.h\"\n\n${arrays}\n"
  "const struct catalog_row catalog_rows[] = {\n${rows}};\n"
  "const size_t catalog_row_count = ${index};\n")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT} ONLY_IF_DIFFERENT)
