# The Debian package: `cpack -G DEB` in the build folder of a preset, which scripts/package does.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tidegate)
set(CPACK_PACKAGE_VENDOR "Tidegate")
set(CPACK_PACKAGE_CONTACT "The Tidegate developers <maintainers@tidegate.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "IoT edge gateway that keeps readings until they are delivered")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Takes sensor readings in over MQTT and Modbus, keeps them in a durable
ring log on local flash, evaluates rules on the spot, and forwards batches
upstream when the link allows: nothing that it has acknowledged is lost to
a crash or a power cut.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
# The symbols in a package of their own. The tools of the build host cannot take those of another architecture apart.
if(CMAKE_CROSSCOMPILING)
  set(CPACK_STRIP_FILES ON)
else()
  set(CPACK_DEBIAN_DEBUGINFO_PACKAGE ON)
endif()
if(TIDEGATE_DEBIAN_ARCH)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${TIDEGATE_DEBIAN_ARCH})
endif()

# By hand: dpkg-shlibdeps knows nothing of an unpacked sysroot, and the names are the same on every architecture of
# Debian 12. That nothing is missing is seen where the package is installed (scripts/test --target package). procps has the
# /bin/kill of the unit's ExecReload=.
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "libc6 (>= 2.36), libgcc-s1, libstdc++6 (>= 12), libfmt9, libmodbus5, \
libprotobuf-lite32, libsimdjson14, libspdlog1.10, libsqlite3-0 (>= 3.40), libssl3 (>= 3.0), libzstd1, procps, \
systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcurl4, libpq5, librdkafka1")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mosquitto")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_CURRENT_LIST_DIR}/conffiles ${CMAKE_CURRENT_LIST_DIR}/postinst ${CMAKE_CURRENT_LIST_DIR}/prerm
  ${CMAKE_CURRENT_LIST_DIR}/postrm)
include(CPack)
