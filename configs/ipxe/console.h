/* What iPXE says is in `xl dmesg`, too, where SeaBIOS's messages are. */
#define CONSOLE_DEBUGCON
