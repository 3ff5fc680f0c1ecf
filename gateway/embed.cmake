# Writes OUTPUT, a C file with the bytes of INPUT as openapi_schemas. Run by the build.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUTPUT}
  "#include \"gateway/openapi_schemas.h\"\n\nconst unsigned char openapi_schemas[] = {\n${bytes}\n};\n"
  "const size_t openapi_schemas_bytes = sizeof(openapi_schemas);\n")
