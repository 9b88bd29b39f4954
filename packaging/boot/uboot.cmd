# U-Boot script for a host whose slots Tandem fills. As boot.scr on the EFI system partition, where U-Boot finds it by itself:
#
#   mkimage -T script -d uboot.cmd boot.scr
#
# The environment says which slots there are and in which order (BOOT_ORDER="B A"), which are proven (BOOT_A_OK=1: started without
# counting) and how many tries the others have left (BOOT_B_LEFT=3). A try is written down before it is made; one that cannot be is not
# made. Slot A starts EFI/tandem/a.efi of the partition that this script lies on, slot B EFI/tandem/b.efi.
#
# A board that keeps its environment in a place of its own sets tandem_save to the command that writes it.

tandem_saves=saveenv
if test "x${tandem_save}" != x; then tandem_saves="${tandem_save}"; fi

slots="${BOOT_ORDER}"
if test "x${BOOT_ORDER}" = x; then slots="A B"; fi

good=
others=
for slot in ${slots}; do
  proven=x
  left=x
  kernel=x
  if test "${slot}" = A; then
    proven=x${BOOT_A_OK}
    left=x${BOOT_A_LEFT}
    kernel=EFI/tandem/a.efi
  fi
  if test "${slot}" = B; then
    proven=x${BOOT_B_OK}
    left=x${BOOT_B_LEFT}
    kernel=EFI/tandem/b.efi
  fi

  start=no
  if test "${proven}" = x1; then
    good="${good} ${slot}"
    start=yes
  else
    others="${others} ${slot}"
    # One less than is left; not every board can calculate.
    fewer=none
    previous=none
    for number in 0 1 2 3 4 5 6 7 8 9; do
      if test "${left}" = "x${number}"; then fewer=${previous}; fi
      previous=${number}
    done
    if test "${fewer}" != none; then
      setenv BOOT_${slot}_LEFT ${fewer}
      if ${tandem_saves}; then start=yes; else echo "tandem: the try of slot ${slot} could not be counted"; fi
    fi
  fi

  if test "${start}" = yes; then
    echo "tandem: starting slot ${slot}"
    # Else the board's own command line would come in the place of the kernel image's.
    setenv bootargs
    if load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} ${kernel}; then
      bootefi ${kernel_addr_r}
    fi
    echo "tandem: slot ${slot} did not start"
  fi
done

# Only now, with nothing left: an environment that is new or lost knows no proven slot, and a proven one may fail once, after which it
# is the first again. Slots that are out of the order stay out.
echo "tandem: no slot is left, so that each gets three tries"
setenv BOOT_ORDER ${good} ${others}
for slot in ${slots}; do
  setenv BOOT_${slot}_LEFT 3
done
${tandem_saves}
sleep 3
reset
